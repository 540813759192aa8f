<?php

declare(strict_types=1);

namespace Snug;

/** A room in numbers. */
final class RoomStatus
{
    public function __construct(
        public readonly string $room,
        /** Which story it is in: another one begins when it is deleted. Null where nobody has used it yet. */
        public readonly ?string $epoch,
        /** The place of its newest message. */
        public readonly int $offset,
        /** Open connections. */
        public readonly int $connections,
        /** Users with at least one, or who may be back. */
        public readonly int $members,
        /** Stored messages that are kept. */
        public readonly int $messages,
        /** What they and all else that it stores take up. */
        public readonly int $storageBytes,
        /** Events that wait to be told to `WEBHOOK_URL`. */
        public readonly int $pendingEvents,
        /** Events that could not be told within a day: see `Room::deadEvents()`. */
        public readonly int $deadEvents,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(
            $json['room'],
            $json['epoch'],
            $json['offset'],
            $json['connections'],
            $json['members'],
            $json['messages'],
            $json['storage_bytes'],
            $json['webhooks']['pending'],
            $json['webhooks']['dead'],
        );
    }
}
