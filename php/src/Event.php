<?php

declare(strict_types=1);

namespace Snug;

/** Something that has happened in a room. */
final class Event
{
    public function __construct(
        /** The same whenever it is told of. */
        public readonly string $id,
        /** Rises by one from event to event of a room, so that one that was had can be skipped. */
        public readonly int $seq,
        /**
         * `room.occupied`, `room.vacated`, `member.joined`, `member.left` or `message.published`; later versions of
         * Snug may have others.
         */
        public readonly string $type,
        /** When it has happened, in Unix milliseconds. */
        public readonly int $time,
        /** Who has joined or left; null for other events. */
        public readonly ?string $user,
        /**
         * The public profile of who has joined; empty for other events.
         *
         * @var array<string, mixed>
         */
        public readonly array $info,
        /** What the message's offset counts in; null for other events. A room that is deleted begins a new one. */
        public readonly ?string $epoch,
        /** What was published; null for other events. */
        public readonly ?Message $message,
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
            $json['info'] ?? [],
            $json['epoch'] ?? null,
            isset($json['message']) ? Message::from($json['message']) : null,
        );
    }
}
