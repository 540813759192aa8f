<?php

declare(strict_types=1);

namespace Snug\Laravel\Tests;

use Illuminate\Broadcasting\BroadcastException;
use Illuminate\Broadcasting\BroadcastManager;
use Illuminate\Broadcasting\Channel;
use Illuminate\Broadcasting\PresenceChannel;
use Illuminate\Broadcasting\PrivateChannel;
use Illuminate\Support\Facades\Notification as Notifications;
use Snug\Laravel\Facades\Snug;
use Snug\Laravel\SnugBroadcaster;
use Snug\Laravel\Tests\App\Customer;
use Snug\Laravel\Tests\App\OrderPaid;
use Snug\Laravel\Tests\App\OrderShipped;
use Snug\Tests\TestConnection;

/** Tests broadcasting from Laravel to connections of the built Worker. */
final class BroadcastTest extends LaravelTestCase
{
    private static function newName(): string
    {
        return 'orders.' . bin2hex(random_bytes(8));
    }

    private function broadcaster(): SnugBroadcaster
    {
        return $this->app->make(BroadcastManager::class)->connection();
    }

    public function testAnEventReachesItsChannels(): void
    {
        $name = self::newName();
        $connections = array_map(
            static fn (string $kind): TestConnection => new TestConnection("$kind-$name", 'ann'),
            ['public', 'private', 'presence'],
        );
        event(new OrderShipped(7, new Channel($name), new PrivateChannel($name), new PresenceChannel($name)));
        foreach ($connections as $connection) {
            $message = $connection->next('message');
            self::assertSame(['server', OrderShipped::class], [$message['user'], $message['event']]);
            self::assertSame(['order' => 7], $message['data']);
        }
    }

    public function testToOthersNamesTheConnectionOfTheRequest(): void
    {
        $name = self::newName();
        $ann = new TestConnection("private-$name", 'ann');
        $fields = ['private' => $name, 'others' => '1'];
        $this->post('/ship/8', $fields, headers: ['X-Socket-ID' => 'abc123'])->getContent();
        self::assertSame(['order' => 8, 'socket' => 'abc123'], $ann->next('message')['data']);
        // Without the header, there is no connection to leave out.
        $this->app['request']->headers->remove('X-Socket-ID');
        $this->post('/ship/9', $fields);
        self::assertSame(['order' => 9], $ann->next('message')['data']);
    }

    public function testTheAuthorIsASetting(): void
    {
        $this->boot(['snug.user' => 'shop']);
        $name = self::newName();
        event(new OrderShipped(1, new Channel($name)));
        self::assertSame('shop', Snug::channel($name)->history()->messages[0]->user);
    }

    public function testAChannelThatIsNamedTwiceGetsTheEventOnce(): void
    {
        $name = self::newName();
        $this->broadcaster()->broadcast([new Channel($name), $name], 'shipped');
        self::assertCount(1, Snug::channel($name)->history()->messages);
    }

    public function testMoreThan100ChannelsGetTheEvent(): void
    {
        $names = array_map(static fn (): string => self::newName(), range(1, 101));
        $this->broadcaster()->broadcast($names, 'shipped', ['order' => 1]);
        foreach ([0, 99, 100] as $index) {
            self::assertSame(['order' => 1], Snug::channel($names[$index])->history()->messages[0]->data);
        }
    }

    public function testALongEventNameIsShortened(): void
    {
        $name = self::newName();
        $event = 'App\\Domain\\Shipping\\Events\\Customers\\OrderShipmentStatusWasUpdatedByTheCarrier';
        $this->broadcaster()->broadcast([$name], $event);
        self::assertSame(substr($event, -64), Snug::channel($name)->history()->messages[0]->event);
    }

    public function testANotificationIsBroadcast(): void
    {
        $name = 'users.' . self::newName();
        Notifications::send(new Customer($name), new OrderPaid());
        $message = Snug::channel("private-$name")->history()->messages[0];
        self::assertSame('Illuminate\\Notifications\\Events\\BroadcastNotificationCreated', $message->event);
        self::assertSame('paid', $message->data['text']);
    }

    /** @dataProvider impossible */
    public function testAnEventThatCannotBePublishedThrows(array $channels, array $payload, string $explanation): void
    {
        $this->expectException(BroadcastException::class);
        $this->expectExceptionMessage($explanation);
        $this->broadcaster()->broadcast($channels, 'shipped', $payload);
    }

    public static function impossible(): iterable
    {
        yield 'to a name that is no room' => [['a,b'], [], "the channel name 'a,b'"];
        yield 'to an encrypted channel' => [['private-encrypted-a'], [], 'would store'];
        yield 'with data that is too large' => [['a'], ['text' => str_repeat('x', 100_000)], 'too_large'];
        yield 'with data that is not UTF-8' => [['a'], ['text' => "\xff"], 'UTF-8'];
    }

    public function testARoomThatRefusesAnEventIsNamed(): void
    {
        $fake = Snug::fake()->withRefusal('b', 503, 'overloaded');
        try {
            $this->broadcaster()->broadcast(['a', 'b', 'c'], 'shipped');
            self::fail('no exception was thrown');
        } catch (BroadcastException $e) {
            self::assertStringContainsString('public-b: overloaded', $e->getMessage());
        }
        $fake->assertPublished('a');
        $fake->assertNotPublished('b');
        $fake->assertPublished('c');
    }

    public function testAWorkerThatCannotBeReachedThrows(): void
    {
        $this->boot(['snug.url' => 'http://127.0.0.1:1']);
        $this->expectException(BroadcastException::class);
        $this->expectExceptionMessage('http://127.0.0.1:1 cannot be reached');
        $this->broadcaster()->broadcast(['a'], 'shipped');
    }
}
