"""Devices of the arm virt board whose regions depend on how many CPUs and what options it has (spec/virt-boards.md)."""
