"""What is said on an MQTT broker about machines, without a socket in sight.

Names of topics, contents of messages, what waits while the broker is away, which commands a stranger may send: all
of it values and functions that a test can hold against each other. `edge/mqtt*.py` owns the connections.

The package stands above layout/, whose snapshots and changes it publishes, and below edge/, which is the only one to
use it; it knows no report format, so verdicts come in as the JSON documents that reports/ makes.
"""
