"""The virt boards of qemu-system-riscv64 and qemu-system-riscv32 (spec/virt-boards.md, part B)."""
