<?php

declare(strict_types=1);

namespace Snug\Laravel;

use BadMethodCallException;
use GuzzleHttp\Client;
use GuzzleHttp\Psr7\HttpFactory;
use Illuminate\Contracts\Config\Repository;
use InvalidArgumentException;
use Psr\Http\Client\ClientInterface;
use Snug\Algorithm;
use Snug\NewMessage;
use Snug\PublishResult;
use Snug\Room;
use Snug\Snug;
use Snug\TokenIssuer;
use Snug\Laravel\Testing\SnugFake;
use Snug\Webhook;

/**
 * The clients of Snug, with the application's settings. The facade `Snug` calls this object.
 *
 * Methods throw an `InvalidArgumentException` that names the setting if one is missing or invalid.
 */
final class SnugManager
{
    private ?Snug $client = null;
    private ?SnugFake $fake = null;

    public function __construct(private Repository $config)
    {
    }

    /**
     * Returns a handle to the room of a channel.
     *
     * @param string|object $channel The full name, such as `private-orders.1`, or a channel object of Laravel.
     */
    public function channel(string|object $channel): Room
    {
        return $this->room(ChannelName::toRoom((string) $channel));
    }

    /** Returns a handle to any room, whether or not it is a channel. */
    public function room(string $name): Room
    {
        return $this->client()->room($name);
    }

    /**
     * Publishes messages to each of up to 100 rooms.
     *
     * @param array<string> $rooms The names of the rooms, each at most once.
     *
     * @return list<PublishResult> One result for each room, in the same order.
     */
    public function publishTo(array $rooms, NewMessage ...$messages): array
    {
        return $this->client()->publishTo($rooms, ...$messages);
    }

    /** Returns the client of the PHP package. */
    public function client(): Snug
    {
        return $this->client ??= $this->clientOver(new Client(['timeout' => (float) $this->setting('timeout')]));
    }

    /** Returns the issuer of tokens for browsers. */
    public function tokens(): TokenIssuer
    {
        $name = (string) $this->setting('jwt.algorithm');
        $algorithm = array_column(Algorithm::cases(), null, 'name')[$name] ?? throw new InvalidArgumentException(
            "SNUG_JWT_ALGORITHM must be HS256, HS384 or HS512; it is '$name'",
        );
        $secret = $this->required('jwt.secret', 'SNUG_JWT_SECRET', "the Worker's JWT_SECRET");
        return new TokenIssuer($secret, $algorithm, $this->setting('jwt.issuer'), $this->setting('jwt.audience'));
    }

    /** Returns the verifier of webhooks. */
    public function webhook(): Webhook
    {
        $secret = $this->required('webhook.secret', 'SNUG_WEBHOOK_SECRET', "the Worker's WEBHOOK_SECRET");
        return new Webhook(...array_filter([$secret, $this->setting('webhook.previous_secret')]));
    }

    /** Returns the Worker's URL, without a trailing slash. */
    public function url(): string
    {
        $url = $this->required('url', 'SNUG_URL', "the Worker's URL");
        if (preg_match('{^https?://[^/\s]}i', $url) !== 1) {
            throw new InvalidArgumentException("SNUG_URL must begin with https:// or http://; it is '$url'");
        }
        return rtrim($url, '/');
    }

    /**
     * Replaces the Worker with one in memory, for tests, and returns it with its assertions. The settings may be
     * missing.
     */
    public function fake(): SnugFake
    {
        $this->config->set('snug.url', $this->setting('url') ?: 'https://snug.test');
        $this->config->set('snug.jwt.secret', $this->setting('jwt.secret') ?: bin2hex(random_bytes(16)));
        $this->fake = new SnugFake();
        $this->client = $this->clientOver($this->fake);
        return $this->fake;
    }

    /**
     * Calls the assertions of the fake.
     *
     * @param array<mixed> $arguments
     */
    public function __call(string $method, array $arguments): mixed
    {
        if (!method_exists(SnugFake::class, $method)) {
            throw new BadMethodCallException(sprintf('the method %s::%s() does not exist', self::class, $method));
        }
        if ($this->fake === null) {
            throw new BadMethodCallException("call Snug::fake() before Snug::$method()");
        }
        return $this->fake->$method(...$arguments);
    }

    private function clientOver(ClientInterface $http): Snug
    {
        $factory = new HttpFactory();
        return new Snug($this->url(), $this->tokens(), $http, $factory, $factory, (string) $this->setting('user'));
    }

    private function setting(string $name): mixed
    {
        return $this->config->get("snug.$name");
    }

    private function required(string $name, string $variable, string $meaning): string
    {
        $value = $this->setting($name);
        if (!is_string($value) || $value === '') {
            throw new InvalidArgumentException("$variable is not set: it is $meaning");
        }
        return $value;
    }
}
