<?php

declare(strict_types=1);

namespace Snug;

/** Counters and sizes of a room. */
final class RoomStatus
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /** The room's epoch. A deleted room starts a new one. Null if the room has never been used. */
        public readonly ?string $epoch,
        /** The offset of the newest message. */
        public readonly int $offset,
        /** The number of open connections. */
        public readonly int $connections,
        /** The number of members: users with a connection, or within the grace period. */
        public readonly int $members,
        /** The number of stored messages. */
        public readonly int $messages,
        /** The bytes of storage that the room uses. */
        public readonly int $storageBytes,
        /** The number of webhook events that wait for delivery to `WEBHOOK_URL`. */
        public readonly int $pendingEvents,
        /** The number of webhook events that Snug gave up delivering. See `Room::deadEvents()`. */
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
