<?php

declare(strict_types=1);

namespace Snug;

/** A stored message. */
final class Message
{
    public function __construct(
        /** Its place in the room: each message has one more than the last. */
        public readonly int $offset,
        /** When it was stored, in Unix milliseconds. */
        public readonly int $time,
        /** Who has published it. */
        public readonly string $user,
        /** By which connection; null where it came from a back end. */
        public readonly ?string $connection,
        /** Its kind, for the application. */
        public readonly ?string $event,
        /** What it says, as `json_decode` gives it, with arrays for objects. */
        public readonly mixed $data,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(
            $json['offset'],
            $json['time'],
            $json['user'],
            $json['connection'] ?? null,
            $json['event'] ?? null,
            $json['data'],
        );
    }
}
