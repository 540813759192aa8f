<?php

declare(strict_types=1);

namespace Snug;

/** The result of publishing messages to one of several rooms. */
final class PublishResult
{
    public function __construct(
        /** The room's name. */
        public readonly string $room,
        /**
         * The published messages, in the order given. Empty if the room refused them.
         *
         * @var list<PublishedMessage>
         */
        public readonly array $messages,
        /** The reason why the room refused the messages. Null if it accepted them. */
        public readonly ?Problem $problem,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return isset($json['error'])
            ? new self($json['room'], [], Problem::from($json['error']))
            : new self($json['room'], PublishedMessage::listFrom($json), null);
    }
}
