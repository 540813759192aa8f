<?php

declare(strict_types=1);

namespace Snug;

/** A reaction to a message, such as an emoji, with the users who have it. */
final class Reaction
{
    public function __construct(
        /** The emoji, or the name that your application chose. */
        public readonly string $name,
        /** The number of all users with the reaction. */
        public readonly int $count,
        /**
         * The ids of these users, but not all of them if there are many.
         *
         * @var list<string>
         */
        public readonly array $users,
    ) {
    }

    /**
     * @internal
     * @param array<array-key, array{count: int, users: list<string>}> $json The users by name.
     * @return list<self>
     */
    public static function listFrom(array $json): array
    {
        $reactions = [];
        foreach ($json as $name => ['count' => $count, 'users' => $users]) {
            // PHP makes a number of a name that looks like one.
            $reactions[] = new self((string) $name, $count, $users);
        }
        return $reactions;
    }
}
