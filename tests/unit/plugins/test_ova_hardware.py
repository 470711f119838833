"""The hardware properties that `ova` derives from a descriptor."""

from __future__ import annotations

import pytest

from support.images.ova import disk, file, ova, ovf
from support.images.ova_hardware import (
    CPU,
    DISK_ON,
    DRIVE,
    IDE,
    MACHINE,
    MEMORY,
    NET,
    PASD_FIELDS,
    SATA,
    SCSI,
    cores,
    item,
    system,
)
from support.plugin_runs import extracted


def proposed(*systems: str, hardware: str = "openstack", **config: object) -> dict[str, object]:
    """What would be set on the image."""
    extraction = extracted(ova(descriptor=ovf(systems="".join(systems))), hardware=hardware, **config)
    assert extraction.code is None, extraction.message
    return extraction.proposed


def test_the_hardware_is_proposed_under_the_names_of_openstack() -> None:
    assert proposed(MACHINE) == {
        "hw_cpu_sockets": 2,
        "hw_cpu_cores": 2,
        "hw_cpu_threads": 1,
        "hw_disk_bus": "scsi",
        "hw_scsi_model": "vmpvscsi",
        "hw_vif_model": "vmxnet3",
        "hw_firmware_type": "uefi",
        "os_type": "linux",
        "os_distro": "ubuntu",
    }


def test_without_the_setting_the_hardware_is_only_reported() -> None:
    extraction = extracted(ova(descriptor=ovf(systems=MACHINE)))
    assert extraction.proposed == {}
    properties = {"cpus": 4, "memory_mib": 2048, "firmware": "uefi", "disk_bus": "scsi", "vif_model": "vmxnet3"}
    assert extraction.properties | properties | {"guest_os_id": "94"} == extraction.properties


@pytest.mark.parametrize(
    ("controller", "expected"),
    [
        (item(8, SCSI, ResourceSubType="lsilogic"), {"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"}),
        (item(8, SCSI, ResourceSubType="someother, lsilogic"), {"hw_disk_bus": "scsi", "hw_scsi_model": "lsilogic"}),
        (item(8, SCSI, ResourceSubType="lsilogicsas"), {"hw_disk_bus": "scsi", "hw_scsi_model": "lsisas1068"}),
        (item(8, SCSI, ResourceSubType="whatever"), {"hw_disk_bus": "scsi"}),
        (item(8, IDE, ResourceSubType="PIIX4"), {"hw_disk_bus": "ide"}),
        (item(8, IDE, ResourceSubType="virtio"), {"hw_disk_bus": "virtio"}),
        (item(8, SATA, ResourceSubType="vmware.sata.ahci"), {"hw_disk_bus": "sata"}),
        (item(8, SATA, ResourceSubType="vmware.nvme.controller"), {}),
        (item(7, SCSI), {}),
    ],
)
def test_the_bus_is_that_of_the_disks_controller(controller: str, expected: dict[str, str]) -> None:
    assert proposed(system(item(5, IDE), controller, DISK_ON)) == expected


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["E1000"], {"hw_vif_model": "e1000"}),
        (["E1000e", "E1000e"], {"hw_vif_model": "e1000e"}),
        (["PCNet32"], {"hw_vif_model": "pcnet"}),
        (["VMXNET3 virtio"], {"hw_vif_model": "vmxnet3"}),
        (["E1000", "VmxNet3"], {}),
        (["Vmxnet"], {}),
        (["; rm -rf /"], {}),
    ],
)
def test_networks_of_different_models_have_no_model(models: list[str], expected: dict[str, str]) -> None:
    assert proposed(system(*(item(at, NET, ResourceSubType=model) for at, model in enumerate(models)))) == expected


@pytest.mark.parametrize(("quantity", "per_socket", "sockets", "cores_"), [(4, 0, 4, 1), (6, 4, 6, 1), (8, 8, 1, 8)])
def test_processors_are_sockets_if_the_cores_do_not_divide_them(
    quantity: int, per_socket: int, sockets: int, cores_: int
) -> None:
    proposals = proposed(system(item(1, CPU, VirtualQuantity=quantity).replace("</Item>", cores(per_socket))))
    assert proposals == {"hw_cpu_sockets": sockets, "hw_cpu_cores": cores_, "hw_cpu_threads": 1}


@pytest.mark.parametrize("quantity", ["-1", "0", "many", "4097", "9" * 5000, "1.5", ""])
def test_an_impossible_number_is_ignored(quantity: str) -> None:
    items = item(1, CPU, VirtualQuantity=quantity), item(2, MEMORY, VirtualQuantity=quantity + "9" * 20)
    extraction = extracted(ova(descriptor=ovf(systems=system(*items))), hardware="openstack")
    assert (extraction.code, extraction.proposed) == (None, {})
    assert "memory_mib" not in extraction.properties


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ('ovf:id="96"', {"os_type": "linux", "os_distro": "debian"}),
        ('ovf:id="80"', {"os_type": "linux", "os_distro": "rhel"}),
        ('ovf:id="103"', {"os_type": "windows", "os_distro": "windows"}),
        ('ovf:id="68"', {}),
        ('ovf:id="78"', {"os_distro": "freebsd"}),
        ('ovf:id="36"', {"os_type": "linux"}),
        ('ovf:id="36" vmw:osType="centosGuest"', {"os_type": "linux", "os_distro": "centos"}),
        ('ovf:id="1" vmw:osType="windows9_64Guest"', {"os_type": "windows", "os_distro": "windows"}),
        ('ovf:id="1" vmw:osType="other4xLinux64Guest"', {"os_type": "linux"}),
        ('ovf:id="102"', {}),
        ('ovf:id="999999999999"', {}),
        ('ovf:id="x"', {}),
    ],
)
def test_a_known_guest_system_is_named(section: str, expected: dict[str, str]) -> None:
    os = f"<OperatingSystemSection {section}><Info>os</Info></OperatingSystemSection>"
    assert proposed(system(os=os)) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ('<vmw:Config vmw:key="firmware" vmw:value="bios"/>', "bios"),
        ('<vmw:ExtraConfig vmw:key="firmware" vmw:value="efi"/>', "uefi"),
        ('<vmw:Config vmw:key="firmware" vmw:value="@@FIRMWARE@@"/>', None),
        ('<vbox:Machine><vbox:Hardware><vbox:Firmware type="EFI"/></vbox:Hardware></vbox:Machine>', "uefi"),
        ('<Firmware type="EFI"/>', None),
    ],
)
def test_the_firmware_is_read_as_the_tools_write_it(written: str, expected: str | None) -> None:
    assert proposed(system(more=written)).get("hw_firmware_type") == expected


def test_conditional_items_are_ignored() -> None:
    items = [
        item(1, CPU, 'ovf:configuration="large"', VirtualQuantity=8),
        item(1, CPU, 'ovf:bound="max"', VirtualQuantity=16),
        item(1, CPU, 'ovf:bound="normal"', VirtualQuantity=2),
    ]
    assert proposed(system(*items))["hw_cpu_sockets"] == 2


def test_the_machine_with_the_disk_is_chosen_among_several() -> None:
    def machine(id: str, cpus: int, disk: str) -> str:
        return system(
            item(1, CPU, VirtualQuantity=cpus), item(9, DRIVE, HostResource=f"ovf:/disk/{disk}", Parent="8"), id=id
        )

    machines = machine("a", 1, "disk1") + machine("b", 2, "disk2")
    description = ovf(files=file() + file("b.vmdk", "file2"), disks=disk() + disk("disk2", "file2"), systems=machines)
    image = ova(("disk.vmdk", b"one"), ("b.vmdk", b"two"), descriptor=description)
    for index, sockets in ((0, 1), (1, 2)):
        assert extracted(image, disk=index, hardware="openstack").proposed["hw_cpu_sockets"] == sockets
    assert proposed(machine("a", 1, "other"), machine("b", 2, "other")) == {}


def test_cim_properties_have_the_names_of_glance() -> None:
    machine = system(item(1, CPU, VirtualQuantity=2), more=PASD_FIELDS)
    expected = {"cim_pasd_InstructionSet": "DMTF:x86:64", "cim_pasd_ProcessorArchitecture": "x86"}
    assert proposed(machine, hardware="cim") == expected
    assert proposed(machine, hardware="cim", cim=["Other"]) == {"cim_pasd_Other": "more"}
    assert proposed(machine, hardware="cim", cim=[]) == {}


@pytest.mark.parametrize("value", ["x" * 256, "two\nlines", "\t"])
def test_a_field_that_no_property_can_hold_is_ignored(value: str) -> None:
    machine = system(more=f"<pasd:InstructionSet>a{value}b</pasd:InstructionSet>")
    assert proposed(machine, hardware="cim") == {}
