<?php

declare(strict_types=1);

namespace Http\Discovery;

use GuzzleHttp\Psr7\HttpFactory;
use Psr\Http\Message\RequestFactoryInterface;
use Psr\Http\Message\StreamFactoryInterface;

/** Stands in for the class of php-http/discovery, which is not a Debian package. */
final class Psr17FactoryDiscovery
{
    public static function findRequestFactory(): RequestFactoryInterface
    {
        return new HttpFactory();
    }

    public static function findStreamFactory(): StreamFactoryInterface
    {
        return new HttpFactory();
    }
}
