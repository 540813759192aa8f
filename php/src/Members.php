<?php

declare(strict_types=1);

namespace Snug;

use ArrayIterator;
use Countable;
use IteratorAggregate;

/**
 * Who is in a room: `foreach` gives each `Member`, `count` how many there are.
 *
 * @implements IteratorAggregate<int, Member>
 */
final class Members implements Countable, IteratorAggregate
{
    /** @param list<Member> $members */
    private function __construct(
        private array $members,
        private int $count,
        /** Whether there are more than are listed: no more than 200 are. */
        public readonly bool $isTruncated,
    ) {
    }

    /** How many members there are, listed or not. */
    public function count(): int
    {
        return $this->count;
    }

    /** @return ArrayIterator<int, Member> by user id */
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
