<?php

declare(strict_types=1);

namespace Snug;

/** A message that a member wants to publish or change, and that your publish hook decides on. */
final class ProposedMessage
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /** The author's user id. */
        public readonly string $user,
        /** The id of the connection that sent the message. */
        public readonly string $connection,
        /** The event name that the author chose, if any. */
        public readonly ?string $event,
        /**
         * The message's data, decoded from JSON. Objects become associative arrays; an empty object becomes an
         * `ArrayObject`, which is encoded as an object again. Whole numbers too large for PHP become strings.
         */
        public readonly mixed $data,
        /** The offset of the message to which this one is a reply, if it is one. */
        public readonly ?int $re = null,
        /** The offset of the message that is to be changed. Null if the message is new. */
        public readonly ?int $of = null,
        /**
         * The change of the message `$of`: `edit`, whose data is the new data, or `append`, whose data is the text to
         * append. Null if the message is new.
         */
        public readonly ?string $action = null,
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
    public static function from(string $room, array $json): self
    {
        return new self(
            $room,
            $json['user'],
            $json['connection'],
            $json['event'] ?? null,
            $json['data'],
            $json['re'] ?? null,
            $json['of'] ?? null,
            $json['action'] ?? null,
            $json['mentions'] ?? [],
        );
    }
}
