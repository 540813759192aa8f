<?php

declare(strict_types=1);

namespace Snug;

use ArrayIterator;
use Countable;
use IteratorAggregate;

/**
 * The members of a room: `foreach` yields each listed `Member`, and `count()` returns the total.
 *
 * @implements IteratorAggregate<int, Member>
 */
final class Members implements Countable, IteratorAggregate
{
    /** @param list<Member> $members */
    private function __construct(
        private array $members,
        private int $count,
        /** True if the room has more members than are listed. At most 200 are listed. */
        public readonly bool $isTruncated,
    ) {
    }

    /** Returns the total number of members, listed or not. */
    public function count(): int
    {
        return $this->count;
    }

    /** @return ArrayIterator<int, Member> The listed members, ordered by user id. */
    public function getIterator(): ArrayIterator
    {
        return new ArrayIterator($this->members);
    }

    /**
     * @internal
     * @param array<string, mixed> $json
     */
    public static function from(array $json): self
    {
        return new self(array_map(Member::from(...), $json['members']), $json['count'], $json['truncated']);
    }
}
