<?php

declare(strict_types=1);

namespace Snug;

use JsonSerializable;

/** What becomes of a message that a member wants to publish. */
final class Verdict implements JsonSerializable
{
    /** @param array<string, mixed> $json */
    private function __construct(private array $json)
    {
    }

    /** It is published as it is. */
    public static function allow(): self
    {
        return new self(['allow' => true]);
    }

    /**
     * It is published with other data.
     *
     * @param mixed $data anything that JSON has
     */
    public static function replace(mixed $data): self
    {
        return new self(['allow' => true, 'data' => $data]);
    }

    /** It is not published, and whoever wanted to is told why. */
    public static function refuse(string $reason): self
    {
        return new self(['allow' => false, 'reason' => $reason]);
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        return $this->json;
    }
}
