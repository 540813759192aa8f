<?php

declare(strict_types=1);

namespace Snug;

use Closure;
use InvalidArgumentException;
use JsonException;

/**
 * Verifies and decodes the requests that Snug sends: webhook events to `WEBHOOK_URL`, and publish hook requests to
 * `PUBLISH_URL`.
 *
 * Requests are signed as in Standard Webhooks 1.0 (https://www.standardwebhooks.com): with HMAC-SHA256 over
 * `id.timestamp.body`.
 */
final class Webhook
{
    /** The largest difference between a request's timestamp and this machine's clock, in either direction. */
    private const TOLERANCE_SECONDS = 300;

    private const KEY_BYTES_MIN = 24;
    private const KEY_BYTES_MAX = 64;

    /** @var list<string> */
    private array $keys;

    /**
     * @param string ...$secrets The Worker's `WEBHOOK_SECRET` (`whsec_…`). While you rotate it, pass both the new and
     *                           the old one.
     *
     * @throws InvalidArgumentException If there is no secret, or one is malformed.
     */
    public function __construct(#[\SensitiveParameter] string ...$secrets)
    {
        if ($secrets === []) {
            throw new InvalidArgumentException('at least one webhook secret is required');
        }
        $this->keys = array_map(self::keyOf(...), array_values($secrets));
    }

    /**
     * Verifies a request to `WEBHOOK_URL` and returns its events.
     *
     * Snug repeats a request if it did not receive your response, so skip events whose `seq` you already processed.
     *
     * @param string $body The raw request body: `file_get_contents('php://input')`.
     * @param array<string, string|array<string>> $headers The request headers, as from `getallheaders()` or a PSR-7
     *        request.
     *
     * @throws WebhookVerificationException If the signature is not valid, the timestamp is more than five minutes off,
     *         or the request is not a webhook.
     */
    public function events(string $body, array $headers): WebhookDelivery
    {
        $data = $this->verify($body, $headers, 'room.events');
        return new WebhookDelivery(
            self::header($headers, 'webhook-id'),
            $data['room'],
            array_map(RoomEvent::from(...), $data['events']),
        );
    }

    /**
     * Verifies a request to `PUBLISH_URL`, decides on each message in it, and returns the response body.
     *
     * @param string $body The raw request body: `file_get_contents('php://input')`.
     * @param array<string, string|array<string>> $headers The request headers, as from `getallheaders()` or a PSR-7
     *        request.
     * @param Closure(ProposedMessage): Decision $decide Decides on one message. It is called for each message, in
     *        order.
     *
     * @return string The JSON to respond with. Send it with status 200 within two seconds.
     *
     * @throws WebhookVerificationException If the signature is not valid, the timestamp is more than five minutes off,
     *         or the request is not from the publish hook.
     * @throws JsonException If a decision's data cannot be encoded as JSON.
     */
    public function decide(string $body, array $headers, Closure $decide): string
    {
        $data = $this->verify($body, $headers, 'room.publish');
        $decisions = array_map(
            static fn (array $json): Decision => $decide(ProposedMessage::from($data['room'], $json)),
            $data['messages'],
        );
        return Json::encode(['decisions' => $decisions]);
    }

    /** Keeps the secrets out of dumps such as `var_dump()`. */
    public function __debugInfo(): array
    {
        return ['secrets' => count($this->keys)];
    }

    /**
     * @param array<string, string|array<string>> $headers
     * @return array<string, mixed> The `data` of the request.
     */
    private function verify(string $body, array $headers, string $type): array
    {
        $id = self::header($headers, 'webhook-id');
        $timestamp = self::header($headers, 'webhook-timestamp');
        if (preg_match('/^\d{1,12}$/D', $timestamp) !== 1) {
            throw new WebhookVerificationException('webhook-timestamp must be a number (seconds since 1970)');
        }
        if (abs(time() - (int) $timestamp) > self::TOLERANCE_SECONDS) {
            throw new WebhookVerificationException('webhook-timestamp is more than five minutes off');
        }
        if (!$this->isSigned("$id.$timestamp.$body", self::header($headers, 'webhook-signature'))) {
            throw new WebhookVerificationException('webhook-signature does not match the request under any secret');
        }
        try {
            $json = Json::decode($body);
        } catch (JsonException) {
            $json = null;
        }
        if (!is_array($json) || ($json['type'] ?? null) !== $type) {
            throw new WebhookVerificationException("the request is signed, but its type is not '$type'");
        }
        return $json['data'];
    }

    /** Returns true if any signature matches any key. Takes the same time wherever the first match is. */
    private function isSigned(string $content, string $signatures): bool
    {
        $isSigned = false;
        foreach ($this->keys as $key) {
            $expected = 'v1,' . base64_encode(hash_hmac('sha256', $content, $key, true));
            foreach (explode(' ', $signatures) as $signature) {
                $isSigned = hash_equals($expected, $signature) || $isSigned;
            }
        }
        return $isSigned;
    }

    /** @param array<string, string|array<string>> $headers */
    private static function header(array $headers, string $name): string
    {
        foreach ($headers as $key => $value) {
            if (strtolower((string) $key) === $name) {
                return is_array($value) ? implode(',', $value) : $value;
            }
        }
        throw new WebhookVerificationException("the header $name is missing");
    }

    private static function keyOf(#[\SensitiveParameter] string $secret): string
    {
        $key = str_starts_with($secret, 'whsec_') ? base64_decode(substr($secret, 6), true) : false;
        if ($key === false || strlen($key) < self::KEY_BYTES_MIN || strlen($key) > self::KEY_BYTES_MAX) {
            throw new InvalidArgumentException('a webhook secret must be whsec_ followed by 24 to 64 bytes in base64');
        }
        return $key;
    }
}
