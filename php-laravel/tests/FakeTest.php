<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use BadMethodCallException;
use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\PrivateChannel;
use PHPUnit\Framework\AssertionFailedError;
use Snug\Laravel\Facades\Snug;
use Snug\Laravel\Tests\App\OrderShipped;
use Snug\Message;
use Snug\NewMessage;
use Snug\RequestRefusedException;

/** Tests `Snug::fake()`: that it behaves as the built Worker does, and its assertions. */
final class FakeTest extends LaravelTestCase
{
    /** Uses most of the PHP package, and returns everything that it returned except times and epochs. */
    private static function useSnug(string $name): array
    {
        $channel = Snug::channel($name);
        $log = [];
        $note = static function (mixed $value) use (&$log): void {
            $json = json_decode((string) json_encode($value), true);
            $log[] = self::without($json, ['time', 'epoch', 'storageBytes', 'pendingEvents']);
        };
        $note($channel->history());
        $note($channel->status());
        $note($channel->publish(['text' => 'one'], event: 'chat', key: 'k'));
        $note($channel->publish(['text' => 'again'], key: 'k'));
        $note($channel->publish('by another user', key: 'k', user: 7));
        $note($channel->publishAll(...array_map(static fn (int $n): NewMessage => new NewMessage($n), range(1, 9))));
        $note($channel->history());
        $note($channel->history(limit: 3));
        $note($channel->history(after: 2, limit: 3));
        $note($channel->history(before: 5, limit: 3));
        $note($channel->history(after: 11));
        $note(array_map(static fn (Message $message): array => (array) $message, [...$channel->messages(after: 9)]));
        $note($channel->publishAll(new NewMessage('reply', re: 3), new NewMessage('another', re: 3, user: 'ann')));
        $note($channel->publish('to a reply', re: 12));
        $note($channel->history());
        $note($channel->history(limit: 1, re: 3));
        $note(array_map(static fn (Message $message): array => (array) $message, [...$channel->messages(re: 3)]));
        $note(Snug::publishTo(["public-$name", "public-$name-3"], new NewMessage('reply', re: 2)));
        $note(Snug::publishTo(["public-$name-2", 'no room'], new NewMessage(['a' => []]), new NewMessage(2)));
        $note(Snug::channel("$name-2")->history());
        $note([count($channel->members()), [...$channel->members()], $channel->members()->isTruncated]);
        $note($channel->kick('ann'));
        $note($channel->ban('ann', 60));
        $channel->unban('ann');
        $note($channel->endTokens('ann', 60));
        $note([...$channel->deadEvents()]);
        $note($channel->status());
        $note($channel->delete());
        $note($channel->history());
        try {
            Snug::room('no room')->publish('refused');
        } catch (RequestRefusedException $e) {
            $note([$e->problem->status, $e->problem->code]);
        }
        try {
            $channel->publish('refused', re: 99);
        } catch (RequestRefusedException $e) {
            $note([$e->problem->status, $e->problem->code]);
        }
        return $log;
    }

    private static function without(mixed $json, array $names): mixed
    {
        if (!is_array($json)) {
            return $json;
        }
        $forPeople = isset($json['code']) ? ['detail' => true, 'ref' => true] : [];
        $kept = array_diff_key($json, array_flip($names), $forPeople);
        return array_map(static fn (mixed $value): mixed => self::without($value, $names), $kept);
    }

    public function testItBehavesAsTheWorkerDoes(): void
    {
        $name = 'fake.' . bin2hex(random_bytes(8));
        $real = self::useSnug($name);
        Snug::fake();
        $fake = self::useSnug($name);
        foreach ($real as $index => $result) {
            self::assertSame($result, $fake[$index], "call $index differs");
        }
        self::assertCount(count($real), $fake);
    }

    public function testItNeedsNoSettings(): void
    {
        $this->boot(['snug.url' => null, 'snug.jwt.secret' => null]);
        Snug::fake();
        event(new OrderShipped(1, new Channel('news')));
        Snug::assertPublished('news');
        $this->actAs('ann');
        self::assertNotSame('', $this->token('private-orders.ann'));
    }

    public function testBroadcastsCanBeAsserted(): void
    {
        // The broadcaster may have been used before.
        event(new OrderShipped(1, new Channel('asserted')));
        $fake = Snug::fake();
        Snug::assertNothingPublished();
        event(new OrderShipped(7, new PrivateChannel('orders.7'), new Channel('news')));
        Snug::assertPublished('private-orders.7');
        Snug::assertPublished(new PrivateChannel('orders.7'), OrderShipped::class);
        $isOrder7 = static fn (Message $message): bool => $message->data === ['order' => 7];
        Snug::assertPublished('news', OrderShipped::class, $isOrder7);
        Snug::assertNotPublished('news', 'other');
        Snug::assertNotPublished('other');
        Snug::assertNotPublished('news', null, static fn (Message $message): bool => $message->offset > 1);
        self::assertSame([['order' => 7]], array_column($fake->published('news', OrderShipped::class), 'data'));
    }

    public function testMembersAndModerationCanBeAsserted(): void
    {
        Snug::fake()->withMember('presence-chat.1', 7, ['name' => 'Ann'])->withMember('presence-chat.1', 'bob');
        $members = Snug::channel('presence-chat.1')->members();
        self::assertSame(['7', 'bob'], array_column([...$members], 'user'));
        self::assertSame(['name' => 'Ann'], [...$members][0]->info);
        self::assertSame(1, Snug::channel('presence-chat.1')->kick(7));
        Snug::assertKicked('presence-chat.1', 7);
        Snug::channel('presence-chat.1')->ban('bob', 60);
        Snug::assertBanned('presence-chat.1', 'bob');
        self::assertCount(0, Snug::channel('presence-chat.1')->members());
    }

    /** @dataProvider failures */
    public function testAnAssertionThatDoesNotHoldFails(\Closure $assertion, string $explanation): void
    {
        Snug::fake();
        event(new OrderShipped(7, new Channel('news')));
        Snug::channel('news')->kick('ann');
        Snug::channel('news')->unban('bob');
        Snug::channel('news')->endTokens('cho', 60);
        $this->expectException(AssertionFailedError::class);
        $this->expectExceptionMessage($explanation);
        $assertion();
    }

    public static function failures(): iterable
    {
        yield 'published' => [static fn () => Snug::assertPublished('other'), 'message on the channel other was not'];
        yield 'published event' => [static fn () => Snug::assertPublished('news', 'x'), "event 'x' on the channel"];
        yield 'not published' => [static fn () => Snug::assertNotPublished('news'), 'An unexpected message'];
        yield 'nothing published' => [static fn () => Snug::assertNothingPublished(), 'published to: public-news'];
        yield 'kicked' => [static fn () => Snug::assertKicked('news', 'bob'), 'bob was not kicked in public-news'];
        yield 'banned' => [static fn () => Snug::assertBanned('news', 'ann'), 'ann was not banned'];
        yield 'banned, but unbanned' => [static fn () => Snug::assertBanned('news', 'bob'), 'bob was not banned'];
        yield 'banned, but signed out' => [static fn () => Snug::assertBanned('news', 'cho'), 'cho was not banned'];
    }

    public function testAssertionsNeedTheFake(): void
    {
        $this->expectException(BadMethodCallException::class);
        $this->expectExceptionMessage('call Snug::fake() before Snug::assertPublished()');
        Snug::assertPublished('news');
    }

    public function testAMethodThatDoesNotExistThrows(): void
    {
        $this->expectException(BadMethodCallException::class);
        Snug::fake();
        Snug::publishEverything();
    }
}
