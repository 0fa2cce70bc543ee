"""The PC boards: pc, q35, isapc and microvm (spec/x86-boards.md)."""
