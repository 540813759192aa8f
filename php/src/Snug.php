<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use JsonException;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;

/** A client for Snug's HTTP API, for your back end. */
final class Snug
{
    /** The lifetime of a request's token: long enough for the request and for clocks that differ. */
    private const TOKEN_SECONDS = 120;

    private const CAPABILITIES = [
        Capability::Serve,
        Capability::Moderate,
        Capability::History,
        Capability::Presence,
    ];

    private ApiClient $api;

    /**
     * @param string $url The Worker's URL, such as `https://chat.example.com`.
     * @param TokenIssuer|Closure(): string $tokens Creates the token of each request. Pass a closure to sign tokens
     *        with your own key; each token needs the capabilities of the methods that you call.
     * @param ClientInterface $client Any PSR-18 client. Set timeouts on it.
     * @param RequestFactoryInterface $requestFactory Any PSR-17 request factory.
     * @param StreamFactoryInterface $streamFactory Any PSR-17 stream factory.
     * @param string $user The author of messages that do not set `user`. A closure's tokens name the author
     *        themselves, as `sub`.
     */
    public function __construct(
        string $url,
        TokenIssuer|Closure $tokens,
        ClientInterface $client,
        RequestFactoryInterface $requestFactory,
        StreamFactoryInterface $streamFactory,
        string $user = 'server',
    ) {
        $token = $tokens instanceof Closure
            ? $tokens
            : static fn (): string => $tokens->mint($user, ['*' => self::CAPABILITIES], self::TOKEN_SECONDS);
        $this->api = new ApiClient(rtrim($url, '/'), $token, $client, $requestFactory, $streamFactory);
    }

    /**
     * Creates a client with the HTTP client that is installed: Guzzle, Symfony's, or one that php-http/discovery finds.
     *
     * Requests with Guzzle and Symfony's client time out after 10 seconds. To set another timeout, use the constructor.
     *
     * @param string $url The Worker's URL, such as `https://chat.example.com`.
     * @param string|TokenIssuer|Closure(): string $secret The Worker's `JWT_SECRET`, or what the constructor accepts as
     *        `$tokens`.
     * @param string $user The author of messages that do not set `user`.
     *
     * @throws \InvalidArgumentException If the secret is too short, or is not valid base64url.
     * @throws \LogicException If no HTTP client is installed.
     */
    public static function create(
        string $url,
        #[\SensitiveParameter] string|TokenIssuer|Closure $secret,
        string $user = 'server',
    ): self {
        $tokens = is_string($secret) ? new TokenIssuer($secret) : $secret;
        $http = HttpClient::discover();
        return new self($url, $tokens, $http->client, $http->requestFactory, $http->streamFactory, $user);
    }

    /**
     * Returns a handle to a room. This sends no request, and the room does not need to exist yet.
     *
     * @throws \InvalidArgumentException If the name is empty, `.` or `..`.
     */
    public function room(string $name): Room
    {
        return new Room($this->api, $name);
    }

    /**
     * Publishes up to 100 messages to each of up to 100 rooms. Within a room, the messages are stored atomically.
     *
     * @param array<string> $rooms The names of the rooms, each at most once.
     *
     * @return list<PublishResult> One result for each room, in the same order.
     *
     * @throws SnugException If the whole request is refused, or Snug cannot be reached. If a single room refuses the
     *                       messages, its result has a `problem`.
     * @throws JsonException If the data cannot be encoded as JSON.
     */
    public function publishTo(array $rooms, NewMessage ...$messages): array
    {
        $body = ['rooms' => array_values($rooms), 'messages' => array_values($messages)];
        return array_map(PublishResult::from(...), $this->api->send('POST', '/v1/publish', [], $body)['results']);
    }
}
