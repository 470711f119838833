"""The virtual machine's hardware, by a descriptor (DSP0243, 8; the items are CIM_ResourceAllocationSettingData).

A descriptor is not trusted: numbers are bounded, and only known names are passed on.
"""

from __future__ import annotations

from douane.plugins.formats.ovf_document import OvfError, attributes_of, in_bytes, local_name

from . import guest_os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

    from douane.plugins.formats.ovf_document import OvfDocument

CIM_PROCESSOR = "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ProcessorAllocationSettingData"
CIM_NAMES = ("ProcessorArchitecture", "InstructionSet", "InstructionSetExtensionName")
"""The names in Glance's sample configuration."""

_XSI_TYPE = "{http://www.w3.org/2001/XMLSchema-instance}type"
_PROCESSOR, _MEMORY, _IDE, _SCSI, _ETHERNET, _DISK, _OTHER_STORAGE = "3", "4", "5", "6", "10", "17", "20"
_MAX_PROCESSORS = 4096
_MAX_MEMORY = 1 << 50
_MAX_TEXT = 255

_SCSI_MODELS = {
    "buslogic": "buslogic",
    "lsilogic": "lsilogic",
    "lsilogicsas": "lsisas1068",
    "virtualscsi": "vmpvscsi",
    "virtio": "virtio-scsi",
    "virtio-scsi": "virtio-scsi",
}
_VIF_MODELS = {
    "e1000": "e1000",
    "e1000e": "e1000e",
    "pcnet32": "pcnet",
    "vmxnet3": "vmxnet3",
    "virtio": "virtio",
    "virtio-net-pci": "virtio",
    "rtl8139": "rtl8139",
    "ne2k_pci": "ne2k_pci",
}
_FIRMWARE = {"bios": "bios", "efi": "uefi", "uefi": "uefi", "efi32": "uefi", "efi64": "uefi", "efidual": "uefi"}


class Hardware:
    """The hardware of one virtual system. Unknown values are empty or 0.

    `cpus`; `cores` of each socket; `memory` in bytes; `disk_bus`, `scsi_model`, `vif_model`, `firmware` as OpenStack
    names them; `guest_os`: OVF's id; `guest`: `os_type` and `os_distro`.
    """

    def __init__(self) -> None:
        self.cpus = self.cores = self.memory = 0
        self.disk_bus = self.scsi_model = self.vif_model = self.firmware = self.guest_os = ""
        self.guest: dict[str, str] = {}

    def openstack_properties(self) -> dict[str, int | str]:
        """The properties of an image with which OpenStack gives a server the same hardware."""
        topology: dict[str, int | str] = {}
        if self.cpus:
            cores = self.cores if self.cores and self.cpus % self.cores == 0 else 1
            # Threads as well: Nova would otherwise fill a larger flavor with threads of one core.
            topology = {"hw_cpu_sockets": self.cpus // cores, "hw_cpu_cores": cores, "hw_cpu_threads": 1}
        models = {
            "hw_disk_bus": self.disk_bus,
            "hw_scsi_model": self.scsi_model,
            "hw_vif_model": self.vif_model,
            "hw_firmware_type": self.firmware,
        }
        return topology | {name: value for name, value in models.items() if value} | self.guest

    def properties(self) -> dict[str, int | str]:
        """The plugin's own properties."""
        values: dict[str, int | str] = {
            "cpus": self.cpus,
            "memory_mib": self.memory >> 20,
            "firmware": self.firmware,
            "disk_bus": self.disk_bus,
            "vif_model": self.vif_model,
            "guest_os_id": self.guest_os,
        }
        return {name: value for name, value in values.items() if value}


def read(document: OvfDocument, disk_id: str) -> Hardware:
    """The hardware of the only virtual system, or of the only system with the disk; else all values are unknown."""
    hardware = Hardware()
    systems = [element for element in document.root.iter() if _is(element, "VirtualSystem")]
    if len(systems) > 1:
        systems = [system for system in systems if any(_is_of(item, disk_id) for item in _items(system))]
    if len(systems) != 1:
        return hardware
    system = systems[0]
    try:
        items = list(_items(system))
        _read_items(hardware, items, disk_id)
        hardware.firmware = _firmware(system)
        for section in system:
            if _is(section, "OperatingSystemSection"):
                hardware.guest_os = attributes_of(section).get("id", "")[:_MAX_TEXT]
                vmware = next((value for key, value in section.attrib.items() if key.endswith("}osType")), "")
                hardware.guest = guest_os.describe(hardware.guest_os, vmware)
    except OvfError:
        return Hardware()  # an attribute with two values: which of them counts depends on the program
    return hardware


def cim(document: OvfDocument, names: tuple[str, ...]) -> dict[str, str]:
    """``cim_pasd_NAME``: the text of each element NAME of the CIM class of processors; of several, the last."""
    properties = {}
    for element in document.root.iter():
        name = local_name(element)
        if name in names and element.tag == f"{{{CIM_PROCESSOR}}}{name}":
            text = (element.text or "").strip()
            if len(text) <= _MAX_TEXT and text.isprintable():
                properties[f"cim_pasd_{name}"] = text
    return properties


def _is(element: Element, name: str) -> bool:
    """True for an element of that name. OVF 0.9 calls it ``Section`` or ``Content``, with the name in ``xsi:type``."""
    tag = local_name(element)
    return tag == name or (
        tag in ("Section", "Content") and element.get(_XSI_TYPE, "").rpartition(":")[2] == f"{name}_Type"
    )


def _items(system: Element) -> Iterator[dict[str, str]]:
    """The unconditional items of the first hardware section, as the names and texts of their elements."""
    section = next((element for element in system if _is(element, "VirtualHardwareSection")), None)
    for item in section if section is not None else ():
        if local_name(item) not in ("Item", "StorageItem", "EthernetPortItem"):
            continue
        attributes = attributes_of(item)
        # Of a range only the normal value, and no item of another configuration (DSP0243, 8.3, 9.8).
        if attributes.get("configuration") or attributes.get("bound", "normal") != "normal":
            continue
        fields: dict[str, str] = {}
        for field in item:
            fields.setdefault(local_name(field), (field.text or "").strip())
        yield fields


def _is_of(item: dict[str, str], disk_id: str) -> bool:
    """True for the drive with the disk: ``ovf:/disk/ID``, ``/disk/ID``, and in OVF 0.9 ``disk/ID``."""
    host = item.get("HostResource", "").removeprefix("ovf:").lstrip("/")
    return item.get("ResourceType") == _DISK and host == f"disk/{disk_id}"


def _read_items(hardware: Hardware, items: list[dict[str, str]], disk_id: str) -> None:
    by_id = {item.get("InstanceID") or item.get("InstanceId", ""): item for item in items}
    networks = []
    for item in items:
        kind = item.get("ResourceType")
        if kind == _PROCESSOR and not hardware.cpus:
            hardware.cpus = _number(item.get("VirtualQuantity", ""), _MAX_PROCESSORS)
            hardware.cores = _number(item.get("CoresPerSocket", ""), _MAX_PROCESSORS)
        elif kind == _MEMORY and not hardware.memory:
            size = in_bytes(item.get("VirtualQuantity", ""), item.get("AllocationUnits", "")) or 0
            hardware.memory = size if size <= _MAX_MEMORY else 0
        elif kind == _ETHERNET:
            networks.append(_first_known(item, _VIF_MODELS))
        elif _is_of(item, disk_id):
            _read_bus(hardware, by_id.get(item.get("Parent", ""), {}))
    if len(set(networks)) == 1:
        hardware.vif_model = networks[0]  # one property stands for all networks of an image


def _read_bus(hardware: Hardware, controller: dict[str, str]) -> None:
    kind, model = controller.get("ResourceType"), controller.get("ResourceSubType", "").lower()
    if kind == _SCSI:
        hardware.disk_bus, hardware.scsi_model = "scsi", _first_known(controller, _SCSI_MODELS)
    elif kind == _IDE:
        hardware.disk_bus = "virtio" if model == "virtio" else "ide"
    elif kind == _OTHER_STORAGE and "ahci" in model:
        hardware.disk_bus = "sata"


def _first_known(item: dict[str, str], models: dict[str, str]) -> str:
    """The model of the first known subtype. Subtypes are separated by commas or spaces, the preferred one first."""
    words = item.get("ResourceSubType", "").lower().replace(",", " ").split()
    return next((models[word] for word in words if word in models), "")


def _number(text: str, limit: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    return number if number <= limit else 0


def _firmware(system: Element) -> str:
    """The firmware as VMware's tools write it (``vmw:Config``), or VirtualBox's (``vbox:Machine``)."""
    for element in system.iter():
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        value = ""
        if local_name(element) in ("Config", "ExtraConfig") and attributes.get("key") == "firmware":
            value = attributes.get("value", "")
        elif local_name(element) == "Firmware" and "virtualbox.org" in element.tag:
            value = attributes.get("type", "")
        if value.lower() in _FIRMWARE:
            return _FIRMWARE[value.lower()]
    return ""
