<?php

declare(strict_types=1);

namespace Snug;

use ArrayObject;
use JsonException;
use stdClass;

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

    /**
     * Decodes JSON so that encoding the result gives the same JSON again, as far as PHP allows.
     *
     * Objects become associative arrays, except those that PHP would encode as a list again: an empty object, or one
     * with the keys 0, 1, 2 and so on, becomes an `ArrayObject`. A whole number that is too large for PHP becomes a
     * string of its digits, because a float would lose some of them.
     *
     * @throws JsonException If the text is not JSON.
     */
    public static function decode(string $text): mixed
    {
        // PHP refuses objects with a key that begins with NUL. A random prefix hides the NUL.
        $prefix = str_contains($text, '"\\u0000') ? bin2hex(random_bytes(16)) : '';
        if ($prefix !== '') {
            $text = str_replace('"\\u0000', "\"$prefix\\u0000", $text);
        }
        return self::simplify(json_decode($text, false, 512, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING), $prefix);
    }

    /** Turns objects into arrays where that loses nothing, and removes the prefix from all texts. */
    private static function simplify(mixed $value, string $prefix): mixed
    {
        if (is_string($value)) {
            return $prefix === '' ? $value : str_replace($prefix, '', $value);
        }
        if (is_array($value)) {
            return array_map(static fn (mixed $item): mixed => self::simplify($item, $prefix), $value);
        }
        if (!$value instanceof stdClass) {
            return $value;
        }
        $fields = [];
        foreach ((array) $value as $name => $field) {
            $fields[self::simplify($name, $prefix)] = self::simplify($field, $prefix);
        }
        return array_is_list($fields) ? new ArrayObject($fields) : $fields;
    }
}
