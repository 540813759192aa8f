<?php

declare(strict_types=1);

namespace Snug;

use JsonException;

/**
 * Encodes and decodes JSON the way Snug does.
 *
 * @internal
 */
final class Json
{
    public const FLAGS = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE
        | JSON_PRESERVE_ZERO_FRACTION;

    /** @throws JsonException If the value cannot be encoded, for example text that is not UTF-8. */
    public static function encode(mixed $value): string
    {
        return json_encode($value, self::FLAGS);
    }

    /** @throws JsonException If the text is not JSON. */
    public static function decode(string $text): mixed
    {
        return json_decode($text, true, 512, JSON_THROW_ON_ERROR);
    }
}
