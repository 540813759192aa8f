<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use JsonException;
use Psr\Http\Client\ClientExceptionInterface;
use Psr\Http\Client\ClientInterface;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\ResponseInterface;
use Psr\Http\Message\StreamFactoryInterface;
use RuntimeException;

/** Snug, as a back end speaks to it over HTTP. */
final class Snug
{
    /** A request's token has to hold until it is there, with some leave for clocks that differ. */
    private const TOKEN_SECONDS = 120;

    private string $url;

    /**
     * @param string $url where Snug is: `https://chat.example.com`
     * @param TokenMint|Closure(): string $tokens makes the token of each request; a closure gives one that your own
     *        key has signed, with the capabilities that are needed (`Capability`)
     * @param ClientInterface $http any PSR-18 client; how long it waits is its own matter
     * @param string $user who publishes, where a message does not say
     */
    public function __construct(
        string $url,
        private TokenMint|Closure $tokens,
        private ClientInterface $http,
        private RequestFactoryInterface $requests,
        private StreamFactoryInterface $streams,
        private string $user = 'system',
    ) {
        $this->url = rtrim($url, '/');
    }

    /** One room, be anybody in it or not: nothing is asked before one of its methods is called. */
    public function room(string $name): Room
    {
        return new Room($this, $name);
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
        return array_map(Outcome::from(...), $this->request('POST', '/v1/publish', [], $body)['results']);
    }

    /**
     * Sends a request, and gives what is answered.
     *
     * @internal
     *
     * @param array<string, int|string|null> $query null leaves one out
     * @param array<mixed>|null $body
     * @return array<string, mixed>
     *
     * @throws SnugException
     * @throws JsonException where the body has no form in JSON
     */
    public function request(string $method, string $path, array $query = [], ?array $body = null): array
    {
        $search = http_build_query($query, '', '&', PHP_QUERY_RFC3986);
        $request = $this->requests
            ->createRequest($method, $this->url . $path . ($search === '' ? '' : "?$search"))
            ->withHeader('Authorization', "Bearer {$this->token()}")
            ->withHeader('Accept', 'application/json, application/problem+json');
        if ($body !== null) {
            $request = $request
                ->withHeader('Content-Type', 'application/json')
                ->withBody($this->streams->createStream(Json::encode($body)));
        }
        try {
            $response = $this->http->sendRequest($request);
            $text = (string) $response->getBody();
        } catch (ClientExceptionInterface | RuntimeException $e) {
            throw new Unreachable("$this->url can't be reached: {$e->getMessage()}", 0, $e);
        }
        return $this->answer($response, $text);
    }

    private function token(): string
    {
        if ($this->tokens instanceof Closure) {
            return ($this->tokens)();
        }
        $may = [Capability::Serve, Capability::Moderate, Capability::History, Capability::Presence];
        return $this->tokens->mint($this->user, ['*' => $may], self::TOKEN_SECONDS);
    }

    /** @return array<string, mixed> */
    private function answer(ResponseInterface $response, string $text): array
    {
        $status = $response->getStatusCode();
        try {
            $json = Json::decode($text);
        } catch (JsonException $e) {
            throw new Unreachable("$this->url answered $status, and no JSON", 0, $e);
        }
        if ($status >= 200 && $status < 300 && is_array($json)) {
            return $json;
        }
        if (is_array($json) && is_string($json['code'] ?? null) && is_int($json['status'] ?? null)) {
            $seconds = $response->getHeaderLine('Retry-After');
            throw new Refused(Problem::from($json, ctype_digit($seconds) ? (int) $seconds : null));
        }
        throw new Unreachable("$this->url answered $status, and not as Snug does");
    }
}
