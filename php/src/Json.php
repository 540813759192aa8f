<?php

declare(strict_types=1);

namespace Snug;

use JsonException;

/**
 * JSON as Snug has it.
 *
 * @internal
 */
final class Json
{
    public const FLAGS = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE
        | JSON_PRESERVE_ZERO_FRACTION;

    /** @throws JsonException where the value has no form in JSON, as text that is not UTF-8 */
    public static function encode(mixed $value): string
    {
        return json_encode($value, self::FLAGS);
    }

    /** @throws JsonException where the text is no JSON */
    public static function decode(string $text): mixed
    {
        return json_decode($text, true, 512, JSON_THROW_ON_ERROR);
    }
}
