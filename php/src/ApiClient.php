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
 * Sends requests to Snug's HTTP API and decodes the responses.
 *
 * @internal
 */
final class ApiClient
{
    /** @param Closure(): string $token Returns the token for the next request. */
    public function __construct(
        private string $url,
        private Closure $token,
        private ClientInterface $client,
        private RequestFactoryInterface $requestFactory,
        private StreamFactoryInterface $streamFactory,
    ) {
    }

    /**
     * Sends a request and returns the decoded response body.
     *
     * @param array<string, int|string|null> $query Parameters that are null are left out.
     * @param array<mixed>|null $body
     * @param int|null $ifMatch The version that a message must have.
     * @return array<string, mixed>
     *
     * @throws SnugException If the request is refused, or Snug cannot be reached.
     * @throws JsonException If the body cannot be encoded as JSON.
     */
    public function send(
        string $method,
        string $path,
        array $query = [],
        ?array $body = null,
        ?int $ifMatch = null,
    ): array {
        $search = http_build_query($query, '', '&', PHP_QUERY_RFC3986);
        $request = $this->requestFactory
            ->createRequest($method, $this->url . $path . ($search === '' ? '' : "?$search"))
            ->withHeader('Authorization', 'Bearer ' . ($this->token)())
            ->withHeader('Accept', 'application/json, application/problem+json');
        if ($ifMatch !== null) {
            $request = $request->withHeader('If-Match', "\"$ifMatch\"");
        }
        if ($body !== null) {
            $request = $request
                ->withHeader('Content-Type', 'application/json')
                ->withBody($this->streamFactory->createStream(Json::encode($body)));
        }
        try {
            $response = $this->client->sendRequest($request);
            $text = (string) $response->getBody();
        } catch (ClientExceptionInterface | RuntimeException $e) {
            throw new UnreachableException("$this->url cannot be reached: {$e->getMessage()}", 0, $e);
        }
        return $this->decode($response, $text);
    }

    /** @return array<string, mixed> */
    private function decode(ResponseInterface $response, string $text): array
    {
        $status = $response->getStatusCode();
        try {
            $json = Json::decode($text);
        } catch (JsonException $e) {
            throw new UnreachableException("$this->url returned status $status with a body that is not JSON", 0, $e);
        }
        if ($status >= 200 && $status < 300 && is_array($json)) {
            return $json;
        }
        if (is_array($json) && is_string($json['code'] ?? null) && is_int($json['status'] ?? null)) {
            $seconds = $response->getHeaderLine('Retry-After');
            throw new RequestRefusedException(Problem::from($json, ctype_digit($seconds) ? (int) $seconds : null));
        }
        throw new UnreachableException("$this->url returned status $status with JSON that is not from Snug");
    }
}
