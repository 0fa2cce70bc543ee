"""Device models: what they add to memory, ports and the object tree, and how their registers move it.

A device knows the `Board` (qshim.devices.board) it is plugged into, and nothing of machine types,
monitors or text. Most types are alike and are made from a catalogue of data that was recorded from
real QEMU (data/devices-*.json.xz); code exists where a property or a register changes the layout.
"""
