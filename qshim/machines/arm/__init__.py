"""The virt boards of qemu-system-aarch64 and qemu-system-arm (spec/virt-boards.md, part A)."""
