<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use JsonException;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;

/** Snug, as a back end speaks to it over HTTP. */
final class Snug
{
    /** A request's token has to hold until it is there, with some leave for clocks that differ. */
    private const TOKEN_SECONDS = 120;

    private const MAY = [Capability::Serve, Capability::Moderate, Capability::History, Capability::Presence];

    private Http $http;

    /**
     * @param string $url where Snug is: `https://chat.example.com`
     * @param TokenMint|Closure(): string $tokens makes the token of each request; a closure gives one that your own
     *        key has signed, with the capabilities that are needed (`Capability`)
     * @param ClientInterface $client any PSR-18 client; how long it waits is its own matter
     * @param string $user who publishes, where a message does not say
     */
    public function __construct(
        string $url,
        TokenMint|Closure $tokens,
        ClientInterface $client,
        RequestFactoryInterface $requests,
        StreamFactoryInterface $streams,
        string $user = 'system',
    ) {
        $token = $tokens instanceof Closure
            ? $tokens
            : static fn (): string => $tokens->mint($user, ['*' => self::MAY], self::TOKEN_SECONDS);
        $this->http = new Http(rtrim($url, '/'), $token, $client, $requests, $streams);
    }

    /** One room, be anybody in it or not: nothing is asked before one of its methods is called. */
    public function room(string $name): Room
    {
        return new Room($this->http, $name);
    }

    /**
     * Publishes up to 100 messages to up to 100 rooms. Each room takes all of them or none.
     *
     * @param array<string> $rooms
     *
     * @return list<Outcome> one for each room, in the same order
     *
     * @throws SnugException
     * @throws JsonException where their data has no form in JSON
     */
    public function publish(array $rooms, Draft ...$drafts): array
    {
        $body = ['rooms' => array_values($rooms), 'messages' => array_values($drafts)];
        return array_map(Outcome::from(...), $this->http->send('POST', '/v1/publish', [], $body)['results']);
    }
}
