<?php

declare(strict_types=1);

namespace Snug\Tests;

use ArrayObject;
use JsonException;
use PHPUnit\Framework\TestCase;
use Snug\Json;

final class JsonTest extends TestCase
{
    /** @dataProvider texts */
    public function testADecodedValueIsEncodedAsItWas(string $text): void
    {
        self::assertSame($text, Json::encode(Json::decode($text)));
    }

    public static function texts(): iterable
    {
        yield 'an empty object' => ['{}'];
        yield 'an empty array' => ['[]'];
        yield 'nested empty objects' => ['{"a":{},"b":[{},[]],"c":{"d":{}}}'];
        yield 'an object with the keys of a list' => ['{"0":"a","1":{"0":"b"}}'];
        yield 'an object with other numbers as keys' => ['{"1":"a","0":"b","-1":"c"}'];
        yield 'an empty key' => ['{"":{}}'];
        yield 'a key that begins with NUL' => ['{"\u0000a":{},"b":"\u0000c","d":"\"\u0000\\\\"}'];
        yield 'an escaped backslash before u0000' => ['{"\\\\u0000":"\\\\u0000"}'];
        yield 'the largest integer' => ['[9223372036854775807,-9223372036854775808]'];
        yield 'numbers with and without a fraction' => ['[1,1.0,-0.5,1.0e+30]'];
        yield 'a text' => ['"Größe/👋"'];
        yield 'null' => ['null'];
    }

    public function testObjectsAreReadAsArrays(): void
    {
        $value = Json::decode('{"text":"hello","reply":{"to":7},"options":{}}');
        self::assertSame(['hello', 7], [$value['text'], $value['reply']['to']]);
        self::assertInstanceOf(ArrayObject::class, $value['options']);
        self::assertNull($value['options']['color'] ?? null);
        self::assertCount(0, $value['options']);
        $value['options']['color'] = 'red';
        self::assertSame('{"text":"hello","reply":{"to":7},"options":{"color":"red"}}', Json::encode($value));
    }

    public function testLargeIntegersKeepTheirDigits(): void
    {
        $values = Json::decode('[9223372036854775808,-9223372036854775809,18446744073709551616]');
        self::assertSame(['9223372036854775808', '-9223372036854775809', '18446744073709551616'], $values);
    }

    public function testTextThatIsNotJsonThrows(): void
    {
        $this->expectException(JsonException::class);
        Json::decode('{"a":');
    }
}
