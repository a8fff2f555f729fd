"""Tools that surround the package: conversion, training, the example pictures. Not installed with it."""
