<?php

declare(strict_types=1);

namespace Snug;

/** The position of a message that was published. */
final class PublishedMessage
{
    public function __construct(
        /** The room's epoch. A deleted room starts a new one. */
        public readonly string $epoch,
        /** The message's offset within the epoch. */
        public readonly int $offset,
        /** The time at which the message was stored, in Unix milliseconds. */
        public readonly int $time,
        /** True if the message was already stored under the same key. */
        public readonly bool $isDuplicate,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json The result of publishing to one room.
     * @return list<self>
     */
    public static function listFrom(array $json): array
    {
        return array_map(
            static fn (array $message): self => new self(
                $json['epoch'],
                $message['offset'],
                $message['time'],
                $message['duplicate'] ?? false,
            ),
            $json['messages'],
        );
    }
}
