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

/**
 * Requests to Snug, each with a token of its own, and what it answers.
 *
 * @internal
 */
final class Http
{
    /** @param Closure(): string $token */
    public function __construct(
        private string $url,
        private Closure $token,
        private ClientInterface $client,
        private RequestFactoryInterface $requests,
        private StreamFactoryInterface $streams,
    ) {
    }

    /**
     * Sends a request, and gives what is answered.
     *
     * @param array<string, int|string|null> $query null leaves one out
     * @param array<mixed>|null $body
     * @return array<string, mixed>
     *
     * @throws SnugException
     * @throws JsonException where the body has no form in JSON
     */
    public function send(string $method, string $path, array $query = [], ?array $body = null): array
    {
        $search = http_build_query($query, '', '&', PHP_QUERY_RFC3986);
        $request = $this->requests
            ->createRequest($method, $this->url . $path . ($search === '' ? '' : "?$search"))
            ->withHeader('Authorization', 'Bearer ' . ($this->token)())
            ->withHeader('Accept', 'application/json, application/problem+json');
        if ($body !== null) {
            $request = $request
                ->withHeader('Content-Type', 'application/json')
                ->withBody($this->streams->createStream(Json::encode($body)));
        }
        try {
            $response = $this->client->sendRequest($request);
            $text = (string) $response->getBody();
        } catch (ClientExceptionInterface | RuntimeException $e) {
            throw new Unreachable("$this->url can't be reached: {$e->getMessage()}", 0, $e);
        }
        return $this->answer($response, $text);
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
