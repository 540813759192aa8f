<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use InvalidArgumentException;
use PHPUnit\Framework\TestCase;
use Snug\Laravel\ChannelName;
use Snug\Laravel\EventName;

final class ChannelNameTest extends TestCase
{
    /** @dataProvider channels */
    public function testAChannelIsARoomOfItsFullName(Channel $channel, string $name, string $room): void
    {
        self::assertSame($room, ChannelName::toRoom((string) $channel));
        self::assertSame($name, ChannelName::fromRoom($room));
        self::assertSame((string) $channel, $name);
    }

    public static function channels(): iterable
    {
        yield 'public' => [new Channel('news'), 'news', 'public-news'];
        yield 'private' => [new PrivateChannel('orders.1'), 'private-orders.1', 'private-orders.1'];
        yield 'presence' => [new PresenceChannel('chat.1'), 'presence-chat.1', 'presence-chat.1'];
        yield 'a model' => [
            new PrivateChannel('App.Models.User.7'),
            'private-App.Models.User.7',
            'private-App.Models.User.7',
        ];
        yield 'public by name' => [new Channel('public-news'), 'public-news', 'public-public-news'];
    }

    public function testARoomThatIsNoChannelHasNoChannelName(): void
    {
        self::assertNull(ChannelName::fromRoom('lobby'));
    }

    /** @dataProvider invalidNames */
    public function testANameThatIsNoRoomIsRejected(string $name, string $explanation): void
    {
        $this->expectException(InvalidArgumentException::class);
        $this->expectExceptionMessage($explanation);
        ChannelName::toRoom($name);
    }

    public static function invalidNames(): iterable
    {
        yield 'empty' => ['', 'must consist of'];
        yield 'a wildcard' => ['private-orders.*', 'must consist of'];
        yield 'a comma' => ['a,b', 'must consist of'];
        yield 'a line break' => ["orders\n", 'must consist of'];
        yield 'one byte too long' => ['private-' . str_repeat('x', 121), 'at most 128 bytes'];
        yield 'encrypted' => ['private-encrypted-orders.1', 'no encrypted channels'];
    }

    public function testTheLongestNameIsARoom(): void
    {
        self::assertSame(128, strlen(ChannelName::toRoom('private-' . str_repeat('x', 120))));
    }

    public function testALongEventNameKeepsItsEnd(): void
    {
        $fits = str_repeat('a', 64);
        self::assertSame($fits, EventName::shorten($fits));
        self::assertSame($fits, EventName::shorten("b$fits"));
        self::assertSame(str_repeat('a', 63), EventName::shorten('é' . str_repeat('a', 63)));
    }
}
