<?php

declare(strict_types=1);

namespace Snug\Tests;

use RuntimeException;

/** A connection to a room. A minimal WebSocket client (RFC 6455): text frames without fragmentation. */
final class TestConnection
{
    /** @var resource */
    private $stream;

    /** @var list<array<string, mixed>> Pushes received and not yet returned by `next()`. */
    private array $pushes = [];

    /**
     * Joins the room and waits for the `welcome`.
     *
     * @param array<mixed> $rooms As in `TokenIssuer::mint()`.
     */
    public function __construct(string $room, string $user, array $rooms = ['*'], array $info = [])
    {
        ['host' => $host, 'port' => $port] = parse_url(LiveWorker::env('SNUG_URL'));
        $authority = "$host:$port";
        $this->stream = stream_socket_client("tcp://$authority", timeout: 10);
        stream_set_timeout($this->stream, 20);
        $token = LiveWorker::tokens()->mint($user, $rooms, info: $info);
        fwrite($this->stream, implode("\r\n", [
            "GET /v1/rooms/$room/socket HTTP/1.1",
            "Host: $authority",
            'Connection: Upgrade',
            'Upgrade: websocket',
            'Sec-WebSocket-Version: 13',
            'Sec-WebSocket-Key: ' . base64_encode(random_bytes(16)),
            "Authorization: Bearer $token",
            "\r\n",
        ]));
        $head = stream_get_line($this->stream, 8192, "\r\n\r\n");
        if (!str_contains((string) $head, ' 101 ')) {
            throw new RuntimeException("the upgrade was refused: $head");
        }
        $this->next('welcome');
    }

    /** Sends a command. */
    public function send(array $command): void
    {
        $text = json_encode($command, JSON_THROW_ON_ERROR);
        $size = strlen($text);
        $length = $size < 126 ? chr(0x80 | $size) : chr(0x80 | 126) . pack('n', $size);
        // Clients must mask their frames. A mask of zeros leaves the text unchanged.
        fwrite($this->stream, "\x81$length\0\0\0\0$text");
    }

    /**
     * Waits for the next push of a type, and returns it.
     *
     * @return array<string, mixed>
     */
    public function next(string $type): array
    {
        for (;;) {
            foreach ($this->pushes as $index => $push) {
                if ($push['type'] === $type) {
                    array_splice($this->pushes, $index, 1);
                    return $push;
                }
            }
            [$opcode, $payload] = $this->frame();
            if ($opcode !== 1) {
                throw new RuntimeException("received a frame with opcode $opcode while waiting for '$type'");
            }
            // Without a subprotocol, a frame contains exactly one push.
            $this->pushes[] = json_decode($payload, true, 512, JSON_THROW_ON_ERROR);
        }
    }

    /** Waits until the server closes the connection, and returns the close code. */
    public function closeCode(): int
    {
        for (;;) {
            [$opcode, $payload] = $this->frame();
            if ($opcode === 8) {
                return unpack('n', $payload)[1];
            }
        }
    }

    /** @return array{int, string} The opcode and the payload. */
    private function frame(): array
    {
        [$first, $length] = array_map('ord', str_split($this->read(2)));
        $size = match ($length) {
            126 => unpack('n', $this->read(2))[1],
            127 => unpack('J', $this->read(8))[1],
            default => $length,
        };
        return [$first & 0x0f, $this->read($size)];
    }

    private function read(int $size): string
    {
        $bytes = $size === 0 ? '' : stream_get_contents($this->stream, $size);
        if (strlen((string) $bytes) < $size) {
            throw new RuntimeException('the connection was closed, or the read timed out');
        }
        return $bytes;
    }
}
