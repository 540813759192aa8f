<?php

declare(strict_types=1);

namespace Snug;

/** A webhook event: a change in a room. */
final class RoomEvent
{
    public function __construct(
        /** The event's id. It stays the same when the event is delivered again. */
        public readonly string $id,
        /** The event's sequence number. It rises by one within a room, so you can skip events you already processed. */
        public readonly int $seq,
        /**
         * The event's type: `room.occupied`, `room.vacated`, `member.joined`, `member.left`, `message.published`,
         * `message.changed` or `member.mentioned`.
         * Later versions of Snug may add types, so ignore those you do not know.
         */
        public readonly string $type,
        /** The time of the event, in Unix milliseconds. */
        public readonly int $time,
        /** The user who joined, left or was mentioned. Null for other events. */
        public readonly ?string $user,
        /**
         * The public profile of the user who joined. Empty for other events.
         *
         * @var array<string, mixed>
         */
        public readonly array $info,
        /** The epoch of the message's offset. A deleted room starts a new epoch. Null for other events. */
        public readonly ?string $epoch,
        /** The message that was published, or that mentions the user. Null for other events. */
        public readonly ?Message $message,
        /** The change of a message. Null for other events. */
        public readonly ?Change $change = null,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(
            $json['id'],
            $json['seq'],
            $json['type'],
            $json['time'],
            $json['user'] ?? null,
            (array) ($json['info'] ?? []),
            $json['epoch'] ?? null,
            isset($json['message']) ? Message::from($json['message']) : null,
            isset($json['change']) ? Change::from($json['change']) : null,
        );
    }
}
