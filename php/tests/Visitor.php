<?php

declare(strict_types=1);

namespace Snug\Tests;

use RuntimeException;

/** Somebody in a room, by a WebSocket of the smallest kind (RFC 6455): text frames, none of them in pieces. */
final class Visitor
{
    /** @var resource */
    private $stream;

    /** @var list<array<string, mixed>> pushes that came and were not taken */
    private array $pushes = [];

    /** @param array<mixed> $rooms as `TokenMint::mint()` takes them */
    public function __construct(string $room, string $user, array $rooms = ['*'], array $info = [])
    {
        $authority = parse_url(Live::env('SNUG_URL'), PHP_URL_HOST) . ':' . parse_url(Live::env('SNUG_URL'), PHP_URL_PORT);
        $this->stream = stream_socket_client("tcp://$authority", timeout: 10);
        stream_set_timeout($this->stream, 20);
        $token = Live::mint()->mint($user, $rooms, info: $info);
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
            throw new RuntimeException("no upgrade: $head");
        }
        $this->next('welcome');
    }

    /** Sends a command. */
    public function send(array $command): void
    {
        $text = json_encode($command, JSON_THROW_ON_ERROR);
        $size = strlen($text);
        $length = $size < 126 ? chr(0x80 | $size) : chr(0x80 | 126) . pack('n', $size);
        // A mask of zeros changes nothing, and is one.
        fwrite($this->stream, "\x81$length\0\0\0\0$text");
    }

    /**
     * Waits for the next push of a type.
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
                throw new RuntimeException("a frame of $opcode came before a '$type'");
            }
            // With no subprotocol, a frame holds one push.
            $this->pushes[] = json_decode($payload, true, 512, JSON_THROW_ON_ERROR);
        }
    }

    /** Waits for the close, and gives its code. */
    public function closeCode(): int
    {
        for (;;) {
            [$opcode, $payload] = $this->frame();
            if ($opcode === 8) {
                return unpack('n', $payload)[1];
            }
        }
    }

    /** @return array{int, string} */
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
            throw new RuntimeException('the connection ended, or nothing came');
        }
        return $bytes;
    }
}
