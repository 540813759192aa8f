<?php

declare(strict_types=1);

namespace Snug;

/** Where a message is that was published. */
final class Stored
{
    public function __construct(
        /** Which story of the room it belongs to: another one begins when a room is deleted. */
        public readonly string $epoch,
        /** Its place there: each message has one more than the last. */
        public readonly int $offset,
        /** When it was stored, in Unix milliseconds. */
        public readonly int $time,
        /** Whether it had been stored before, under the same key. */
        public readonly bool $isDuplicate,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json what was published to one room
     * @return list<self>
     */
    public static function listFrom(array $json): array
    {
        return array_map(
            static fn (array $one): self => new self(
                $json['epoch'],
                $one['offset'],
                $one['time'],
                $one['duplicate'] ?? false,
            ),
            $json['messages'],
        );
    }
}
