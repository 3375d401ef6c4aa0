"""pynq 2.7's server of what is loaded, which its images start as a service; run by embedded.py."""

from pynq.pl_server import Device, server

Device.start_global = True
servers = [server.DeviceServer(device.tag) for device in Device.devices]
for running in servers:
    running.start(False)
print("started", flush=True)
