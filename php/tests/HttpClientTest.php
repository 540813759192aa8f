<?php

declare(strict_types=1);

namespace Snug\Tests;

use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Http\Discovery\Psr18ClientDiscovery;
use LogicException;
use PHPUnit\Framework\TestCase;
use Snug\HttpClient;
use Snug\Snug;
use Symfony\Component\HttpClient\Psr18Client;

/** Tests that each HTTP client that can be installed works against the built Worker. */
final class HttpClientTest extends TestCase
{
    /**
     * @dataProvider clients
     * @param list<class-string> $installed
     */
    public function testAnInstalledClientIsFound(array $installed): void
    {
        $http = HttpClient::discover(static fn (string $class): bool => in_array($class, $installed, true));
        self::assertSame($installed[0] === Psr18ClientDiscovery::class, !$http->client instanceof $installed[0]);
        $url = LiveWorker::env('SNUG_URL');
        $snug = new Snug($url, LiveWorker::tokens(), $http->client, $http->requestFactory, $http->streamFactory);
        self::assertSame(1, $snug->room(LiveWorker::newRoom())->publish(['text' => 'Größe'])->offset);
    }

    public static function clients(): iterable
    {
        yield 'Guzzle' => [[Client::class, HttpFactory::class]];
        yield 'Symfony’s client' => [[Psr18Client::class]];
        yield 'a client from discovery' => [[Psr18ClientDiscovery::class]];
    }

    public function testWithoutAClientItSaysWhatToInstall(): void
    {
        $this->expectException(LogicException::class);
        $this->expectExceptionMessage('composer require guzzlehttp/guzzle');
        HttpClient::discover(static fn (): bool => false);
    }

    public function testCreateNeedsOnlyTheUrlAndTheSecret(): void
    {
        $room = LiveWorker::newRoom();
        $url = LiveWorker::env('SNUG_URL');
        Snug::create("$url/", LiveWorker::env('JWT_SECRET'))->room($room)->publish('one');
        Snug::create($url, LiveWorker::tokens(), user: 'bot')->room($room)->publish('two');
        $token = static fn (): string => LiveWorker::tokens()->mint('ann', ['*' => ['serve', 'history']]);
        $messages = Snug::create($url, $token)->room($room)->history()->messages;
        self::assertSame(['server', 'bot'], array_column($messages, 'user'));
    }
}
