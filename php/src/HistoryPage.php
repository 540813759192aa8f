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
         * The messages as they are now, in the order of their offsets. A page can have fewer than you asked for,
         * even none, because changes of messages have offsets, too.
         *
         * @var list<Message>
         */
        public readonly array $messages,
        /** True if there are more messages in the direction requested. */
        public readonly bool $hasMore,
        /** The offset before which the page of older messages ends. Null if none were found. */
        public readonly ?int $firstOffset = null,
        /** The offset after which the page of newer messages starts. Null if none were found. */
        public readonly ?int $lastOffset = null,
    ) {
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json, bool $isUpward): self
    {
        $entries = $json['messages'];
        $first = $entries[0]['offset'] ?? null;
        $last = $entries[count($entries) - 1]['offset'] ?? null;
        // A search for one user's messages may end at another message.
        $cursor = $json['cursor'] ?? null;
        $messages = array_values(array_filter($entries, static fn (array $entry): bool => !isset($entry['of'])));
        return new self(
            $json['epoch'],
            array_map(Message::from(...), $messages),
            $json['more'],
            $isUpward ? $first : $cursor ?? $first,
            $isUpward ? $cursor ?? $last : $last,
        );
    }
}
