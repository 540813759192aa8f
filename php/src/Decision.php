<?php

declare(strict_types=1);

namespace Snug;

use InvalidArgumentException;
use JsonSerializable;

/** A publish hook's decision on one message. */
final class Decision implements JsonSerializable
{
    private const REASON_BYTES_MAX = 256;

    /** @param array<string, mixed> $json */
    private function __construct(private array $json)
    {
    }

    /** Allows the message as it is. */
    public static function allow(): self
    {
        return new self(['allow' => true]);
    }

    /**
     * Allows the message with different data.
     *
     * @param mixed $data Any value that can be encoded as JSON.
     */
    public static function replace(mixed $data): self
    {
        return new self(['allow' => true, 'data' => $data]);
    }

    /**
     * Refuses the message.
     *
     * @param string $reason The reason that the author receives, at most 256 bytes.
     *
     * @throws InvalidArgumentException If the reason is longer.
     */
    public static function refuse(string $reason): self
    {
        // One invalid decision makes Snug ignore the whole response.
        $bytes = strlen($reason);
        if ($bytes > self::REASON_BYTES_MAX) {
            throw new InvalidArgumentException("\$reason must be at most 256 bytes long; it has $bytes");
        }
        return new self(['allow' => false, 'reason' => $reason]);
    }

    /** @return array<string, mixed> */
    public function jsonSerialize(): array
    {
        return $this->json;
    }
}
