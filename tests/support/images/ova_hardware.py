"""The virtual hardware of an OVF descriptor."""

from __future__ import annotations

from .ova import SYSTEM

CPU, MEMORY, IDE, SCSI, NET, DRIVE, SATA = 3, 4, 5, 6, 10, 17, 20


def item(id: int, kind: int, attributes: str = "", **fields: object) -> str:
    """One item of the virtual hardware."""
    written = "".join(f"<rasd:{name}>{value}</rasd:{name}>" for name, value in fields.items())
    return (
        f"<Item {attributes}><rasd:InstanceID>{id}</rasd:InstanceID>"
        f"<rasd:ResourceType>{kind}</rasd:ResourceType>{written}</Item>"
    )


def cores(number: int) -> str:
    """VMware's extension of a processor's item."""
    return f'<vmw:CoresPerSocket ovf:required="false">{number}</vmw:CoresPerSocket></Item>'


def system(*items: str, id: str = "vm", os: str = "", more: str = "") -> str:
    """A virtual system."""
    inside = f"{os}<VirtualHardwareSection><Info>hardware</Info>{''.join(items)}{more}</VirtualHardwareSection>"
    return SYSTEM.format(id=id, inside=inside)


DISK_ON = item(9, DRIVE, HostResource="ovf:/disk/disk1", Parent="8")
MACHINE = system(
    item(1, CPU, VirtualQuantity=4).replace("</Item>", cores(2)),
    item(2, MEMORY, VirtualQuantity=2, AllocationUnits="byte * 2^30"),
    item(3, NET, ResourceSubType="VmxNet3"),
    item(8, SCSI, ResourceSubType="VirtualSCSI"),
    DISK_ON,
    os='<OperatingSystemSection ovf:id="94" vmw:osType="ubuntu64Guest"><Info>os</Info></OperatingSystemSection>',
    more='<vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>',
)
PASD_FIELDS = (
    "<pasd:InstructionSet>DMTF:x86:64</pasd:InstructionSet>"
    "<pasd:ProcessorArchitecture> x86\n</pasd:ProcessorArchitecture>"
    "<pasd:Other>more</pasd:Other><rasd:InstructionSet>no</rasd:InstructionSet>"
)
