<?php

declare(strict_types=1);

namespace Snug;

/** A page of a room's stored messages. */
final class HistoryPage
{
    public function __construct(
        /** The room's epoch. Null if the room has never been used. */
        public readonly ?string $epoch,
        /**
         * The messages, in the order of their offsets.
         *
         * @var list<Message>
         */
        public readonly array $messages,
        /** True if there are more messages in the direction requested. */
        public readonly bool $hasMore,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self($json['epoch'], array_map(Message::from(...), $json['messages']), $json['more']);
    }
}
