"""A disk as image builders make it: a GPT with an EFI system partition, and a file system with a tree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MIB = 1 << 20
ESP_MIB = 64
LOADERS = ("usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed")


def pack(tree: Path, image: Path) -> Path:
    """Pack the tree into a new image, with the boot loader that it has for UEFI."""
    root, esp = image.with_suffix(".root"), image.with_suffix(".esp")
    size = sum(path.lstat().st_blocks * 512 for path in _walk(tree)) // MIB * 5 // 4 + 64
    subprocess.run(["mkfs.ext4", "-q", "-L", "root", "-d", tree, root, f"{size}M"], check=True)
    esp.write_bytes(b"")
    os.truncate(esp, ESP_MIB * MIB)
    subprocess.run(["mkfs.fat", "-n", "ESP", esp], check=True, capture_output=True)
    subprocess.run(["mmd", "-i", esp, "::/EFI", "::/EFI/BOOT"], check=True)
    loader = next(tree / path for path in LOADERS if (tree / path).exists())
    subprocess.run(["mcopy", "-i", esp, loader, "::/EFI/BOOT/BOOTX64.EFI"], check=True)
    image.write_bytes(b"")
    os.truncate(image, (size + ESP_MIB + 4) * MIB)
    table = f"label: gpt\nstart=1MiB, size={ESP_MIB}MiB, type=U\nstart={1 + ESP_MIB}MiB, size={size}MiB, type=L\n"
    subprocess.run(["sfdisk", "-q", image], input=table, text=True, check=True)
    for part, place in ((esp, 1), (root, 1 + ESP_MIB)):
        words = ["dd", f"if={part}", f"of={image}", "bs=1M", f"seek={place}", "conv=notrunc,sparse", "status=none"]
        subprocess.run(words, check=True)
        part.unlink()
    return image


def _walk(tree: Path) -> list[Path]:
    return [Path(folder, name) for folder, folders, files in os.walk(tree) for name in [*folders, *files]]
