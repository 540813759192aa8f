<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Http\Discovery\Psr17FactoryDiscovery;
use Http\Discovery\Psr18ClientDiscovery;
use LogicException;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;
use Symfony\Component\HttpClient\HttpClient as SymfonyHttpClient;
use Symfony\Component\HttpClient\Psr18Client;

/**
 * A PSR-18 client and PSR-17 factories, as the application has installed them.
 *
 * @internal
 */
final class HttpClient
{
    private const TIMEOUT_SECONDS = 10;

    private function __construct(
        public readonly ClientInterface $client,
        public readonly RequestFactoryInterface $requestFactory,
        public readonly StreamFactoryInterface $streamFactory,
    ) {
    }

    /**
     * Finds an installed client: Guzzle or Symfony's, which get a timeout, or else one that php-http/discovery finds.
     *
     * @param (Closure(string): bool)|null $isInstalled Returns true if a class exists.
     *
     * @throws LogicException If none is installed.
     */
    public static function discover(?Closure $isInstalled = null): self
    {
        $isInstalled ??= class_exists(...);
        if ($isInstalled(Client::class) && $isInstalled(HttpFactory::class)) {
            $factory = new HttpFactory();
            return new self(new Client(['timeout' => self::TIMEOUT_SECONDS]), $factory, $factory);
        }
        if ($isInstalled(Psr18Client::class)) {
            // Symfony's client creates requests and streams, too.
            $client = new Psr18Client(SymfonyHttpClient::create(['max_duration' => self::TIMEOUT_SECONDS]));
            return new self($client, $client, $client);
        }
        if ($isInstalled(Psr18ClientDiscovery::class)) {
            return new self(
                Psr18ClientDiscovery::find(),
                Psr17FactoryDiscovery::findRequestFactory(),
                Psr17FactoryDiscovery::findStreamFactory(),
            );
        }
        throw new LogicException(
            'no HTTP client is installed: run `composer require guzzlehttp/guzzle`, or pass yours to the constructor',
        );
    }
}
