<?php

declare(strict_types=1);

namespace Snug;

use InvalidArgumentException;
use JsonSerializable;

/** What becomes of a message that a member wants to publish. */
final class Verdict implements JsonSerializable
{
    private const REASON_BYTES_MAX = 256;

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

    /**
     * It is not published, and whoever wanted to is told why.
     *
     * @param string $reason at most 256 bytes
     *
     * @throws InvalidArgumentException where it is longer
     */
    public static function refuse(string $reason): self
    {
        // To Snug, one verdict of another form is no verdict on any message.
        if (strlen($reason) > self::REASON_BYTES_MAX) {
            throw new InvalidArgumentException('a reason has at most 256 bytes');
        }
        return new self(['allow' => false, 'reason' => $reason]);
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        return $this->json;
    }
}
