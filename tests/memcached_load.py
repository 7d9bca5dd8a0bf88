"""Load for memcached: every answer is compared, byte for byte, with what it has to be.

    memcached_load.py PORT CONNECTIONS SECONDS     prints: requests, requests a second, wrong answers

Requests go out in batches, so the server has work and not this program. Each connection has keys of its own, a thread
of its own, and changes its values from round to round.
"""
import socket
import sys
import threading
import time

KEYS, BATCH = 400, 100


def read_exactly(connection, size):
    parts = []
    while size > 0:
        part = connection.recv(min(size, 1 << 20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


class Client(threading.Thread):
    def __init__(self, port, number, end):
        super().__init__()
        self.connection = socket.create_connection(("127.0.0.1", port))
        self.number, self.end = number, end
        self.requests = self.wrong = 0

    def ask(self, request, answer, requests):
        self.connection.sendall(request)
        self.wrong += read_exactly(self.connection, len(answer)) != answer
        self.requests += requests

    def batches(self, turn):
        for first in range(0, KEYS, BATCH):
            store, fetch, values = [], [], []
            for key in range(first, first + BATCH):
                value = b"%d " % (key * 7919 + turn) * (1 + key % 40)
                store.append(b"set %d:%d 0 0 %d\r\n%s\r\n" % (self.number, key, len(value), value))
                fetch.append(b"get %d:%d\r\n" % (self.number, key))
                values.append(b"VALUE %d:%d 0 %d\r\n%s\r\nEND\r\n" % (self.number, key, len(value), value))
            yield b"".join(store), b"".join(fetch), b"".join(values)

    def run(self):
        turns = [list(self.batches(turn)) for turn in range(2)]
        turn = 0
        while time.monotonic() < self.end and not self.wrong:
            for store, fetch, values in turns[turn % 2]:
                self.ask(store, b"STORED\r\n" * BATCH, BATCH)
                for _ in range(4):
                    self.ask(fetch, values, BATCH)
            turn += 1


def main():
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    start = time.monotonic()
    clients = [Client(port, number, start + seconds) for number in range(connections)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    requests = sum(client.requests for client in clients)
    took = time.monotonic() - start
    print(requests, int(requests / took), sum(client.wrong for client in clients))


main()
