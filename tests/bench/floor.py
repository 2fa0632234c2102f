"""The least a Python program can do for a list of guests: one verified GET with the standard library, JSON out."""

import http.client
import json
import ssl
import sys


def main() -> None:
    port, ca_file, token = sys.argv[1:4]
    context = ssl.create_default_context(cafile=ca_file)
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=30)
    connection.request("GET", "/api2/json/cluster/resources?type=vm", headers={"Authorization": f"PVEAPIToken={token}"})
    answer = connection.getresponse()
    if answer.status != http.client.OK:
        raise SystemExit(f"the server answered {answer.status} {answer.reason}")
    rows = json.loads(answer.read())["data"]
    sys.stdout.write(json.dumps(rows) + "\n")
    connection.close()


main()
