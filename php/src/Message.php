<?php

declare(strict_types=1);

namespace Snug;

/** A stored message. */
final class Message
{
    public function __construct(
        /** The message's offset. It rises by one from message to message of a room. */
        public readonly int $offset,
        /** The time at which the message was stored, in Unix milliseconds. */
        public readonly int $time,
        /** The author's user id. */
        public readonly string $user,
        /** The id of the connection that published the message. Null if it came over the HTTP API. */
        public readonly ?string $connection,
        /** The event name that the publisher chose, if any. */
        public readonly ?string $event,
        /**
         * The message's data, decoded from JSON. Objects become associative arrays; an empty object becomes an
         * `ArrayObject`, which is encoded as an object again. Whole numbers too large for PHP become strings. Null if
         * the message was deleted, and in the event `member.mentioned` if it is longer than 4 KiB.
         */
        public readonly mixed $data,
        /** The version: 1, and one more with each change. */
        public readonly int $version = 1,
        /** The time of the last change, in Unix milliseconds. Null if there was none. */
        public readonly ?int $changed = null,
        /** True if the message was deleted. */
        public readonly bool $isDeleted = false,
        /**
         * The author's public profile when the message was published. Empty if there is none, as for messages that came
         * over the HTTP API.
         *
         * @var array<string, mixed>
         */
        public readonly array $info = [],
        /** The offset of the first message of the thread, if this is a reply. */
        public readonly ?int $re = null,
        /** The number of replies to the message, without deleted ones. */
        public readonly int $replies = 0,
        /** The offset of the newest reply. Null if there is none. */
        public readonly ?int $lastReply = null,
        /**
         * The reactions to the message, in the order of their first use.
         *
         * @var list<Reaction>
         */
        public readonly array $reactions = [],
        /**
         * The ids of the users whom the message mentions.
         *
         * @var list<string>
         */
        public readonly array $mentions = [],
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
            $json['data'] ?? null,
            $json['version'] ?? 1,
            $json['changed'] ?? null,
            $json['deleted'] ?? false,
            (array) ($json['info'] ?? []),
            $json['re'] ?? null,
            $json['replies'] ?? 0,
            $json['last_reply'] ?? null,
            Reaction::listFrom((array) ($json['reactions'] ?? [])),
            $json['mentions'] ?? [],
        );
    }
}
